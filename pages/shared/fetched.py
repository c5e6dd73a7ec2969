"""Scripts of our components that the browser fetches once; one given inline would travel anew with every drawing."""

import hashlib
from functools import cache
from pathlib import Path

from soup_core.runtime.files import write_atomically

STATIC = Path(__file__).resolve().parents[2] / "static"  # which Streamlit serves


@cache
def component(script: Path) -> str:
    """The inline script of a component whose own one is in a file, of which a copy is served beside the app."""
    content = script.read_bytes()
    name = f"{script.stem}-{hashlib.sha256(content).hexdigest()[:12]}.js"
    copy = STATIC / name
    if not copy.is_file() or copy.read_bytes() != content:
        write_atomically(copy, content)
    url = f'new URL("app/static/{name}",document.baseURI)'
    # Under another address a fetch that failed is tried anew. One line alone would be taken for a path.
    again = f'new Promise(r=>setTimeout(r,1000)).then(()=>import({url}+"?again"))'
    return f"export default\nc=>import({url}).catch(()=>{again}).then(m=>m.default(c))"
