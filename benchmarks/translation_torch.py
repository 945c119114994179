"""Translation as the demonstrations do it: transformers' Marian, eager, with `generate`.

    python benchmarks/translation_torch.py make CHECKPOINT
    python benchmarks/translation_torch.py CHECKPOINT BEAMS

The first writes a checkpoint of the size of Helsinki-NLP/opus-mt-*, 6 + 6 layers of 512 and a vocabulary of 65,001,
with random weights that never end a text, so that every text becomes 20 tokens. The second translates the line that it
reads, prints {"tokens", "seconds"}, and so on with each line.
"""

import json
import random
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

PIECES, ROWS, TOKENS = 32_000, 65_001, 20


def make(folder: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    pieces = sentencepieces(folder)
    texts = ["</s>", "<unk>", *pieces]
    texts += [f"target{number}" for number in range(ROWS - 1 - len(texts))] + ["<pad>"]
    (folder / "vocab.json").write_text(json.dumps({text: number for number, text in enumerate(texts)}))
    special = {"pad_token_id": ROWS - 1, "eos_token_id": 0, "decoder_start_token_id": ROWS - 1}
    layers = {f"{part}_{name}": number for part in ("encoder", "decoder") for name, number in (("layers", 6),)}
    heads = {f"{part}_{name}": number for part in ("encoder", "decoder") for name, number in SIZES}
    config = transformers.MarianConfig(
        **{"vocab_size": ROWS, "d_model": 512, "max_position_embeddings": 512, "scale_embedding": True},
        **{"activation_function": "swish", "forced_eos_token_id": 0},
        **layers,
        **heads,
        **special,
    )
    model: Any = transformers.MarianMTModel(config)
    model.final_logits_bias[0, 0] = -1e4
    model.generation_config = transformers.GenerationConfig(
        **{"max_length": TOKENS + 1, "num_beams": 4, "bad_words_ids": [[ROWS - 1]], "forced_eos_token_id": 0},
        **{"renormalize_logits": True},
        **special,
    )
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}))


SIZES = (("attention_heads", 8), ("ffn_dim", 2048))


def sentencepieces(folder: Path) -> list[str]:
    """A SentencePiece model of made-up words with the usual normalisation, twice; its pieces."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    draw = random.Random(0)
    seen = folder / "words.txt"
    seen.write_text("\n".join(" ".join(word(draw) for _ in range(12)) for _ in range(2000)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(seen), model_prefix=str(folder / "source"), vocab_size=400, bos_id=-1, minloglevel=2
    )
    seen.unlink()
    model: Any = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "source.model").read_bytes())
    there = {piece.piece for piece in model.pieces}
    added = (f"▁{word(draw)}" for _ in range(10 * PIECES))
    for text in islice((text for text in dict.fromkeys(added) if text not in there), PIECES - len(there)):
        model.pieces.add(piece=text, score=draw.uniform(-14, -8))
    for name in ("source", "target"):
        (folder / f"{name}.spm").write_bytes(model.SerializeToString())
    for left in folder.glob("source.[mv]o*"):
        left.unlink()
    return [piece.piece for piece in model.pieces if piece.piece not in ("<unk>", "</s>")]


def word(draw: random.Random) -> str:
    return "".join(draw.choice("bdfglmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(1, 5)))


def main() -> None:
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
        return

    import torch
    from transformers import AutoTokenizer, MarianMTModel

    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model: Any = MarianMTModel.from_pretrained(sys.argv[1], attn_implementation="eager")
    for line in sys.stdin:
        started = time.perf_counter()
        with torch.inference_mode():
            said = model.generate(**tokenizer([line.strip()], return_tensors="pt"), num_beams=int(sys.argv[2]))
        text = tokenizer.batch_decode(said, skip_special_tokens=True)
        taken = time.perf_counter() - started
        print(json.dumps({"tokens": said[0].tolist()[1:], "text": text[0], "seconds": taken}), flush=True)


if __name__ == "__main__":
    main()
