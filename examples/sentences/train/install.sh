#!/bin/sh
# Fetch the Stanford Sentiment Treebank (https://nlp.stanford.edu/sentiment/) and train the model that the service
# serves: about ten minutes on one core. Needs the extra "train": pip install 'pilotlight[train]'.
set -eu
cd "$(dirname "$0")/.."
python -c 'import torch' 2>/dev/null || { echo "torch is missing: pip install 'pilotlight[train]'" >&2; exit 1; }
if [ ! -d data/trees ]; then
  curl --fail --location --output data.zip https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip
  python -m zipfile -e data.zip data
  rm data.zip
fi
exec python -m train.train --data data --out models/kim_cnn --seed 1 --threads 1 --checkpoint run.pt
