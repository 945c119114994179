#!/bin/sh
# Train a model of the service and put it where pilotlight.toml looks for it:
#   sh train/install.sh clothing          fetches the pictures (some 100 MB) and trains; ten minutes to half an hour on one core
#   sh train/install.sh clothing_tflite   the same weights for TensorFlow Lite, after that
#   sh train/install.sh churn             a minute, on synthetic customers; or on a table: sh train/install.sh churn --data FILE
# PYTHON names an interpreter; for clothing it has Pilotlight with its extra "train". The others make their own environments.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3)}
model=${1:-clothing}
[ $# -eq 0 ] || shift

environment() { # NAME: run/NAME, made from train/NAME.txt; one that broke off is made anew
  [ -e "run/$1/installed" ] && return
  "$python" -m venv --clear "run/$1"
  "run/$1/bin/pip" install --quiet --requirement "train/$1.txt"
  touch "run/$1/installed"
}

case $model in
  clothing)
    "$python" -c 'import torch, pilotlight' 2>/dev/null || {
      echo "$python has no torch: name one that has Pilotlight with its extra 'train' by PYTHON=..." >&2
      echo "(in a clone of Pilotlight, 'make .venv-train/installed' makes .venv-train/bin/python)" >&2
      exit 1
    }
    [ -d data/clothing ] || {
      git clone --depth 1 https://github.com/alexeygrigorev/clothing-dataset-small data/clothing.part
      mv data/clothing.part data/clothing
    }
    "$python" -m train.train --data data/clothing --checkpoint run/network.pt "$@"
    "$python" -m train.export --data data/clothing --checkpoint run/network.pt --out models/clothing
    ;;
  clothing_tflite)
    [ -e run/weights.npz ] || {
      echo "there is no run/weights.npz: run 'sh train/install.sh clothing' before" >&2
      exit 1
    }
    environment tflite
    run/tflite/bin/python -m train.tflite --beside models/clothing --out models/clothing_tflite
    ;;
  churn)
    environment churn
    run/churn/bin/python train/churn.py --out models/churn "$@"
    ;;
  *)
    echo "there is no model $model: clothing, clothing_tflite and churn are made by this" >&2
    exit 2
    ;;
esac
