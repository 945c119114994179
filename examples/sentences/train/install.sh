#!/bin/sh
# Fetch the Stanford Sentiment Treebank (https://nlp.stanford.edu/sentiment/) and train the model that the service
# serves: about ten minutes on one core. PYTHON names an interpreter that has Pilotlight with its extra "train".
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
"$python" -c 'import torch, pilotlight' 2>/dev/null || {
  echo "$python has no torch: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
  echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
  exit 1
}
if [ ! -d data/trees ]; then
  curl --fail --location --output data.zip https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip
  "$python" -m zipfile -e data.zip data
  rm data.zip
fi
exec "$python" -m train.train --data data --out models/kim_cnn --seed 1 --threads 1 --checkpoint run.pt
