"""Translation by CTranslate2, converted from the same checkpoint: `python translation_ct2.py MODEL CHECKPOINT BEAMS`.

Translates the line that it reads, prints {"text", "seconds"}, and so on with each line. Its own beam search is not that
of transformers, so that what it says may differ.
"""

import json
import sys
import time

import ctranslate2
import sentencepiece

model, checkpoint, beams = sys.argv[1:]
source = sentencepiece.SentencePieceProcessor(model_file=f"{checkpoint}/source.spm")
translator = ctranslate2.Translator(model, device="cpu", intra_threads=2)
for line in sys.stdin:
    started = time.perf_counter()
    pieces = [*source.encode(line.strip(), out_type=str), "</s>"]
    found = translator.translate_batch(
        [pieces], beam_size=int(beams), max_decoding_length=20, min_decoding_length=20, disable_unk=True
    )
    text = source.decode(found[0].hypotheses[0])
    print(json.dumps({"text": text, "seconds": time.perf_counter() - started}), flush=True)
