#!/bin/sh
# Fetch the texts that a model of the service is trained on, and train it: `sh train/install.sh kim_cnn` (the default, about
# ten minutes on one core), `kim_cnn_static`, which begins with the vectors of that one, `sm_cnn` or `sm_cnn_plain` (a few
# minutes each). PYTHON names an interpreter that has Pilotlight with its extra "train".
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
model=${1:-kim_cnn}
"$python" -c 'import torch, pilotlight' 2>/dev/null || {
  echo "$python has no torch: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
  echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
  exit 1
}
mkdir -p data

fetch() { # URL FILE
  [ -e "$2" ] && return
  curl --fail --location --output "$2.part" "$1"
  mv "$2.part" "$2"
}

treebank() { # https://nlp.stanford.edu/sentiment/
  [ -d data/trees ] && return
  fetch https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip data/trees.zip
  "$python" -m zipfile -e data/trees.zip data
}

answers() { # https://github.com/castorini/SM-CNN-Torch, https://rajpurkar.github.io/SQuAD-explorer/
  [ -d data/SM-CNN-Torch ] || git clone --depth 1 https://github.com/castorini/SM-CNN-Torch data/SM-CNN-Torch
  fetch https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json data/squad.json
}

train() { # NETWORK OPTION...
  network=$1
  shift
  "$python" -m "train.$network.train" --out "models/$model" --seed 1 --threads 1 --checkpoint "$model.pt" "$@"
}

sm_cnn() { # OPTION...
  pairs=data/SM-CNN-Torch/data/TrecQA
  "$python" -m train.sm_cnn.embed --data "$pairs" --squad data/squad.json --out data/answer-vectors.txt --threads 1
  train sm_cnn --data "$pairs" --squad data/squad.json --vectors data/answer-vectors.txt --batch 128 "$@"
}

case $model in
  kim_cnn)
    treebank
    train kim_cnn --data data
    ;;
  kim_cnn_static)
    treebank
    "$python" -m train.kim_cnn.words --out data/vectors.txt
    train kim_cnn --data data --form static --vectors data/vectors.txt --batch 128 --epochs 5
    ;;
  sm_cnn)
    answers
    sm_cnn --epochs 5
    ;;
  sm_cnn_plain)
    answers
    sm_cnn --epochs 7 --no-overlap
    ;;
  *)
    echo "there is no model $model: kim_cnn, kim_cnn_static, sm_cnn and sm_cnn_plain are trained by this" >&2
    exit 2
    ;;
esac
