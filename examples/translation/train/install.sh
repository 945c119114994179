#!/bin/sh
# Train the models of the service, one after the other: `sh train/install.sh en-zh zh-en` (the default; about half an hour
# each on one core that nothing else uses).
#
# data/ has to hold pairs.tsv, and hsk.json for single words, see train/data.py: the pairs of
# https://www.manythings.org/anki/cmn-eng.zip (sentences of Tatoeba, CC BY 2.0 FR), and complete.min.json of
# https://github.com/drkameleon/complete-hsk-vocabulary (MIT). PYTHON names an interpreter that has Pilotlight with its
# extra "train". The shipped models were trained for 13 epochs, the default is 40 at most.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
"$python" -c 'import opencc, sacrebleu, sentencepiece, torch, transformers, pilotlight' 2>/dev/null || {
  echo "$python cannot train: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
  echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
  exit 1
}
[ -e data/pairs.tsv ] || {
  echo "there is no $(pwd)/data/pairs.tsv: the head of train/install.sh says what to put there" >&2
  exit 1
}
# Tensors are of another size in every batch: glibc keeps their memory rather than ask for it anew each time.
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=100000000
[ $# -gt 0 ] || set -- en-zh zh-en
for direction; do
  "$python" -m train.train "$direction" --data data --out "checkpoints/$direction" --checkpoint "$direction.pt" \
    --seed 1 --threads 1
  "$python" -m pilotlight optimize "checkpoints/$direction" --task translation --out "models/$direction" \
    --samples "checkpoints/$direction/samples.jsonl"
  "$python" -m train.evaluate "$direction" --data data --model "models/$direction"
done
