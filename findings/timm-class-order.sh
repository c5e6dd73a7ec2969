#!/usr/bin/env bash
# timm numbers class folders in another order than torchvision, and for names that differ in case alone in no fixed order.
#
# timm 1.0.31 (what its train.py and validate.py read a folder with), torchvision 0.29.1.
# One folder with a folder of images a class is read by both. torchvision's ImageFolder sorts the folders' names as texts,
# as the documentation says ("sorted alphabetically"). timm's reader sorts a *set* of the names by a key that splits off
# numbers and lowers letters: 2 comes before 10, and Bee after ant. A network trained by the one and judged with the labels
# of the other is right by chance, and nothing says so. Names that the key takes for the same (Bee and bee, 1 and 01) keep
# the order of the set, which Python draws anew in every process: two runs of one training script on one folder may number
# these classes the other way round, and a resumed run may swap them.
#
# Seen:
#   1 2 10       timm: 1 2 10     torchvision: 1 10 2
#   ant Bee cat  timm: ant Bee cat     torchvision: Bee ant cat
#   bee Bee      timm: 2 orders in 16 processes     torchvision: 1
# Exits with 1 where that is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check timm==1.0.31 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0
cat > "$place/orders.py" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder

root, names = Path(sys.argv[1]), sys.argv[2:]
for name in names:
    (root / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(root / name / "0.png")
numbers = create_dataset("", root=str(root)).reader.class_to_idx
print(*sorted(numbers, key=numbers.get), "|", *ImageFolder(str(root)).classes)
PYTHON
orders() {
    "$place/venv/bin/python" "$place/orders.py" "$place/$1" "${@:2}"
}
numbers=$(orders numbers 1 2 10)
capitals=$(orders capitals ant Bee cat)
for seed in $(seq 16); do
    PYTHONHASHSEED=$seed orders cases bee Bee
done > "$place/seen"
by_timm=$(cut -d'|' -f1 "$place/seen" | sort -u | wc -l)
by_torchvision=$(cut -d'|' -f2 "$place/seen" | sort -u | wc -l)
echo "1 2 10       timm: ${numbers% |*}     torchvision: ${numbers#*| }"
echo "ant Bee cat  timm: ${capitals% |*}     torchvision: ${capitals#*| }"
echo "bee Bee      timm: $by_timm orders in 16 processes     torchvision: $by_torchvision"
[ "$numbers" = "1 2 10 | 1 10 2" ] && [ "$capitals" = "ant Bee cat | Bee ant cat" ] &&
    [ "$by_timm" = 2 ] && [ "$by_torchvision" = 1 ]
