#!/bin/sh
# Train the model of the service: `sh train/install.sh` (about half an hour on one core that has AMX, a few hours else).
#
# data/ has to hold captions.json and images/ first, see train/data.py. The shipped weights come from UCM-Captions:
# pictures from http://weegee.vision.ucmerced.edu/datasets/landuse.html, captions from
# https://github.com/201528014227051/RSICD_optimal, which name the files and the splits. PYTHON names an interpreter that has
# Pilotlight with its extra "train".
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
"$python" -c 'import torch, sacrebleu, pilotlight' 2>/dev/null || {
  echo "$python has no torch: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
  echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
  exit 1
}
[ -e data/captions.json ] || {
  echo "there is no $(pwd)/data/captions.json: the head of train/install.sh says what to put there" >&2
  exit 1
}
"$python" -m train.train --data data --out models/captioning --seed 1 --threads 1 --bfloat16 \
  --word-epochs 40 --epochs 36 --patience 25 --checkpoint captioning.pt
