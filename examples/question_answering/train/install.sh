#!/bin/sh
# Train the two models that the service serves, in place of those that pilotlight.toml takes from the Hugging Face hub:
#   sh train/install.sh qa        SQuAD 1.1, an hour on two cores
#   sh train/install.sh textgen   sentences of Tatoeba, some 15 minutes on one core
# PYTHON names an interpreter that has Pilotlight with its extras "train" and "optimize".
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
which=${1:-}
case $which in qa | textgen) ;; *)
  echo "usage: sh train/install.sh qa | textgen" >&2
  exit 2 ;;
esac
"$python" -c 'import torch, transformers, pilotlight' 2>/dev/null || {
  echo "$python has no torch or no transformers: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
  echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
  exit 1
}

# fetch URL FILE: a download that broke off leaves nothing that looks whole
fetch() {
  [ -f "$2" ] && return
  mkdir -p data
  curl --fail --location --output "$2.part" "$1"
  mv "$2.part" "$2"
}

# optimize TASK: the trained folder becomes the one that is served, in place of what is there
optimize() {
  exec "$python" -m pilotlight optimize "run/$which" --task "$1" --out "models/$which" --force
}

if [ "$which" = qa ]; then
  fetch https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json data/squad-v1.1-dev.json
  "$python" -m train.train --data data --out run/qa --seed 1 --checkpoint qa.pt
  optimize question-answering
else
  fetch https://www.manythings.org/anki/cmn-eng.zip data/cmn-eng.zip
  "$python" -m zipfile -e data/cmn-eng.zip data
  "$python" -m train.textgen --data data/cmn.txt --out run/textgen --seed 1 --checkpoint textgen.pt
  optimize text-generation
fi
