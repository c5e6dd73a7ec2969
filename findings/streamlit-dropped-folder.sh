#!/usr/bin/env bash
# A folder that is dropped on Streamlit's uploader of directories arrives without the names of its folders.
#
# streamlit 1.67.0, Chromium driven by playwright 1.65.2.
# st.file_uploader(accept_multiple_files="directory") takes "an entire directory, including its subdirectories", by its button
# or dropped on it. By the button each file's name is its path in the folder. Dropped, the same files arrive, from all
# depths, under their last names alone: the browser fills webkitRelativePath, which Streamlit takes the name from, for an
# <input webkitdirectory> but not for files reached through DataTransferItem.webkitGetAsEntry. So images/cat/0.png and
# images/dog/0.png become two files named 0.png, and what tells them apart is lost; nothing says so.
#
# Seen:
#   chosen:  sweep/images/cat/0.png sweep/images/dog/0.png
#   dropped: 0.png 0.png
# Exits with 1 where that is no longer so. Needs chromium on the PATH.
set -euo pipefail
place=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check streamlit==1.67.0 playwright==1.65.2
mkdir -p "$place/sweep/images/cat" "$place/sweep/images/dog"
echo cat > "$place/sweep/images/cat/0.png"
echo dog > "$place/sweep/images/dog/0.png"
cat > "$place/app.py" <<'PYTHON'
import streamlit as st

files = st.file_uploader("Folder", accept_multiple_files="directory")
st.text("names: " + " ".join(sorted(each.name for each in files)))
PYTHON
cat > "$place/look.py" <<'PYTHON'
import shutil
import sys

from playwright.sync_api import sync_playwright

address, folder, way = sys.argv[1:]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(address)
    names = page.get_by_text("names:")
    names.wait_for()
    if way == "chosen":
        page.locator("input[type=file]").set_input_files(folder)
    else:
        box = page.get_by_test_id("stFileUploaderDropzone").bounding_box()
        session = page.context.new_cdp_session(page)
        for event in ("dragEnter", "dragOver", "drop"):
            data = {"items": [], "files": [folder], "dragOperationsMask": 1}
            where = {"x": box["x"] + 20, "y": box["y"] + 20}
            session.send("Input.dispatchDragEvent", {"type": event, **where, "data": data})
    page.get_by_text(".png 0.png", exact=False).or_(page.get_by_text("names: sweep")).first.wait_for()
    print(names.inner_text().removeprefix("names: "))
    browser.close()
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$place/venv/bin/streamlit" run "$place/app.py" --server.address 127.0.0.1 --server.port "$port" --server.headless true \
    --browser.gatherUsageStats false > "$place/log" 2>&1 &
server=$!
until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port/_stcore/health')" 2>/dev/null; do sleep 0.2; done
chosen=$("$place/venv/bin/python" "$place/look.py" "http://127.0.0.1:$port" "$place/sweep" chosen)
dropped=$("$place/venv/bin/python" "$place/look.py" "http://127.0.0.1:$port" "$place/sweep" dropped)
echo "chosen:  $chosen"
echo "dropped: $dropped"
[ "$chosen" = "sweep/images/cat/0.png sweep/images/dog/0.png" ] && [ "$dropped" = "0.png 0.png" ]
