#!/usr/bin/env bash
# transformers 5.24.0 with tokenizers 0.23.3: `max_length` of a call is set on the fast tokenizer itself, and stays there while
# the call runs without Python's lock. Threads that share one tokenizer and ask for other lengths get each other's, in silence:
# a server of two sessions then evaluates texts that were cut where another session wanted. Seen:
#   one thread: all lengths as asked
#   three threads on one tokenizer: calls whose texts have another length than asked: True
#   three threads, a lock around each call: 0
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3
cd "$place"
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON' | tee seen
import contextlib, json, pathlib, threading
from transformers import AutoTokenizer

folder = pathlib.Path("tokenizer")
folder.mkdir()
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(1000))]
(folder / "vocab.txt").write_text("\n".join(words))
(folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 64}))
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = [" ".join(f"w{row * place % 1000}" for place in range(100)) for row in range(50)]

def calls(length, other, guard):
    for _ in range(60):
        with guard:
            found = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        other.extend(each for each in found if len(each) != length)

def odd(lengths, guard):
    other = []
    threads = [threading.Thread(target=calls, args=(length, other, guard)) for length in lengths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(other)

free = contextlib.nullcontext()
print("one thread:", "all lengths as asked" if not any(odd([length], free) for length in (16, 32, 48)) else "others")
print("three threads on one tokenizer: calls whose texts have another length than asked:", odd([16, 32, 48], free) > 0)
print("three threads, a lock around each call:", odd([16, 32, 48], threading.Lock()))
PYTHON
cat >expected <<'SEEN'
one thread: all lengths as asked
three threads on one tokenizer: calls whose texts have another length than asked: True
three threads, a lock around each call: 0
SEEN
diff expected seen
