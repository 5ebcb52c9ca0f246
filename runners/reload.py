"""From the published folder to a set that can be served, or the reason why not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bentoml.exceptions import BentoMLException

from errors import ArtefactError, ErrorDetail, ModelSetRefused, RunnerUnavailable
from runners.artefact import read_manifest, verify_servable
from runners.coalesce import CoalescingRunner, Limits
from runners.foreign import translated
from runners.loaded import LoadedSet, checked_model_set, load_set
from runners.store import ensure_stored, serve_version, served_version, stored_folder


class Reloader:
    """Loads sets beside the one that is served. Belongs to one event loop; files are read in a thread."""

    def __init__(
        self, service: Any, published: Path, limits: Limits, client: type[CoalescingRunner] = CoalescingRunner
    ) -> None:
        self._service = service
        self._published = published
        self._limits = limits
        self._client = client

    async def published(self, current: str) -> LoadedSet | None:
        """The published set, ready to answer; None where it is ``current`` already. Raises ModelSetRefused with the
        reason, or RunnerUnavailable where a runner cannot be asked."""
        folder = await self._checked(self._check_published, current)
        return None if folder is None else await self._ready(folder)

    async def stored(self, version: str) -> LoadedSet:
        """The set of that version, which another process found good; raises as ``published`` does."""
        return await self._ready(await self._checked(stored_folder, version))

    @staticmethod
    def serve(version: str) -> None:
        """Tell every process that this set is served from now on."""
        serve_version(version)

    @staticmethod
    def served() -> str | None:
        """The version that the processes of this service serve; None where nobody has said."""
        return served_version()

    def _check_published(self, current: str) -> Path | None:
        manifest = read_manifest(self._published)
        if manifest.get("models_version") == current and not self._differs_from_stored(current):
            return None
        verify_servable(self._published)
        checked_model_set(self._published)
        folder = stored_folder(str(ensure_stored(self._published).version))
        verify_servable(folder)  # the published one may have changed while it was copied
        return folder

    def _differs_from_stored(self, version: str) -> bool:
        """Whether the published folder holds other bytes under the name of the stored set; a Bento has none."""
        stored = stored_folder(version)
        return any(
            path.is_file() and path.read_bytes() != (self._published / path.name).read_bytes()
            for path in stored.iterdir()
            if (self._published / path.name).exists()
        )

    async def _ready(self, folder: Path) -> LoadedSet:
        loaded = await self._checked(load_set, self._service, folder, self._limits, self._client)
        try:
            await loaded.prepare()
        except Exception as error:
            await asyncio.gather(*(runner.close() for runner in loaded.runners.values()))
            if isinstance(error, BentoMLException) and error.error_code < 500:
                raise _refused(f"a model cannot be loaded by its runner ({error})") from error
            raise RunnerUnavailable(translated(error, "of the new set").message) from error
        return loaded

    async def _checked(self, step: Any, *arguments: Any) -> Any:
        """``step`` in a thread, and what it finds wrong as a refusal that names no folder."""
        try:
            return await asyncio.to_thread(step, *arguments)
        except ArtefactError as error:
            raise _refused(_without(error.message, self._published, *arguments)) from error
        except OSError as error:
            raise _refused(f"it cannot be read or stored ({error.strerror})") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(f"its manifest cannot be understood ({type(error).__name__}: {error})") from error


def _refused(problem: str) -> ModelSetRefused:
    message = "the published model set is refused; the one in use stays"
    return ModelSetRefused(message, [ErrorDetail("model_set", problem)])


def _without(message: str, *arguments: Any) -> str:
    """The message without the folders among the arguments: it goes to a caller of the API."""
    for folder in (each for each in arguments if isinstance(each, Path)):
        message = message.replace(f"{folder}/", "").replace(f" in {folder}", "")
    return message
