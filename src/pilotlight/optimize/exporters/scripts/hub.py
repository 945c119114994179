"""The files of a model on the Hugging Face hub: only those that are needed, never code."""

import os
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub import errors as hub_errors
from refusal import Refused, say

NEEDED = {
    *("config.json", "generation_config.json", "README.md"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("source.spm", "target.spm", "target_vocab.json"),
    *("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"),
}
SAFETENSORS = ("model", ".safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model", ".bin", "pytorch_model.bin.index.json")  # loaded with weights-only loading
UNREACHABLE = (httpx2.TransportError, hub_errors.OfflineModeIsEnabled, TimeoutError, ConnectionError)


def fetch(job: dict[str, Any]) -> dict[str, str]:
    """Download `repository` at `revision` ("" for the newest) into the hub's own cache; its folder and commit.

    What is in the cache is not fetched again, and what was broken off goes on where it stopped. When the hub cannot be
    reached, a revision that is there whole is used.
    """
    name, revision = job["repository"], job["revision"] or "main"
    try:
        return download(name, revision)
    except hub_errors.GatedRepoError as error:
        raise Refused(
            f"hf://{name}: its owner has to admit you first", f"ask at {address(name)}, set HF_TOKEN"
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise Refused(
            f"hf://{name}: the hub has no model of that name that you may read",
            "check the name; a private model needs HF_TOKEN",
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise Refused(f"hf://{name}: no revision {revision!r}", f"the revisions are at {address(name)}") from error
    except (hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, *UNREACHABLE) as error:
        return cached(name, revision, error)


def address(name: str) -> str:
    return f"{constants.ENDPOINT}/{name}"


def download(name: str, revision: str) -> dict[str, str]:
    info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    wanted = wanted_files(name, set(sizes))
    say(f"hf://{name} at {info.sha}: {sum(sizes[file] for file in wanted) / 1e6:.1f} MB in {len(wanted)} files")
    for file in wanted:
        say(f"  {file}, {sizes[file] / 1e6:.1f} MB")
        path = hf_hub_download(name, file, revision=info.sha)
    if revision != info.sha:
        remember(Path(path[: -len(file)]), revision, str(info.sha))
    return {"folder": path[: -len(file) - 1], "revision": str(info.sha)}


def remember(snapshot: Path, revision: str, commit: str) -> None:
    """As the hub's own library does, so that the name of the revision leads to its commit without the hub."""
    reference = snapshot.parents[1] / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)


def wanted_files(name: str, there: set[str]) -> list[str]:
    if "config.json" not in there:
        raise Refused(
            f"hf://{name}: the repository has no config.json, so it holds no transformers model",
            f"what it holds is shown at {address(name)}/tree/main",
        )
    weights = weight_files(there, *SAFETENSORS) or weight_files(there, *PICKLED)
    if not weights:
        raise Refused(f"hf://{name}: the repository has neither model.safetensors nor pytorch_model.bin")
    return sorted(there & NEEDED) + weights


def weight_files(there: set[str], stem: str, end: str, index: str) -> list[str]:
    """One file, or shards with their index: `model-00001-of-00002.safetensors`."""
    if f"{stem}{end}" in there:
        return [f"{stem}{end}"]
    shards = [file for file in there if file.startswith(f"{stem}-") and file.endswith(end)]
    return sorted([index, *shards]) if shards and index in there else []


def cached(name: str, revision: str, error: Exception) -> dict[str, str]:
    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
        wanted_files(name, {str(path.relative_to(folder)) for path in folder.rglob("*")})
    except (hub_errors.LocalEntryNotFoundError, Refused):
        raise not_there(name, revision, error) from error
    say(f"the hub cannot be reached: using hf://{name} from {folder}")
    return {"folder": str(folder), "revision": folder.name}


def not_there(name: str, revision: str, error: Exception) -> Refused:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    where = constants.HF_HUB_CACHE
    there = sorted(repository.repo_id for repository in scan_cache_dir().repos) if os.path.isdir(where) else []
    return Refused(
        f"hf://{name}: {constants.ENDPOINT} cannot be reached ({reason}), and revision {revision!r} is not whole in"
        f" the cache {where}, which holds {', '.join(there[:20]) or 'no model'}",
        "connect, or set HF_HOME to a folder that has the model, or HF_ENDPOINT to a mirror, or give a local folder",
    )
