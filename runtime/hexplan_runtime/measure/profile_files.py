"""The two files of a measurement: the profile, and the record of an unfinished one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hexplan.errors import InputError
from hexplan.files.bounded import write_atomically
from hexplan_runtime.measure.record import Circumstances, Record, read_record, write_record

UNFINISHED = ".unfinished.json"


@dataclass(frozen=True, slots=True)
class ProfileFiles:
    """Where the profile goes, and which existing files may be used or replaced."""

    profile: Path
    may_resume: bool = False
    """Whether to go on from an unfinished measurement."""
    may_overwrite: bool = False
    """Whether a profile, or an unfinished measurement, may be replaced."""

    @property
    def unfinished(self) -> Path:
        """The file with the samples so far."""
        return self.profile.with_name(self.profile.name + UNFINISHED)

    def begin(self, circumstances: Circumstances) -> Record:
        """Return the record to go on from, an empty one if there is none.

        Raises
        ------
        InputError
            There is a profile or a record that must not be overwritten, or the record was begun
            under other circumstances, or no file can be written there.
        """
        if self.profile.name in ("", "-") or self.profile.is_dir():
            message = f"--output: found {self.profile}, needed a file"
            raise InputError(message)
        if self.profile.exists() and not self.may_overwrite:
            message = f"{self.profile}: there is a file already"
            raise InputError(message, hint="`--force` overwrites it")
        record = Record(circumstances=circumstances)
        if self.unfinished.exists():
            if self.may_resume:
                return read_record(self.unfinished, circumstances)
            if not self.may_overwrite:
                message = f"{self.unfinished}: there is an unfinished measurement"
                raise InputError(message, hint="`--resume` goes on from it, `--force` starts anew")
        self.keep(record)  # a folder that cannot be written to shows before anything is measured
        self.unfinished.unlink()
        return record

    def keep(self, record: Record) -> None:
        """Write the samples so far."""
        write_record(record, self.unfinished)

    def finish(self, text: str) -> None:
        """Write the profile, and remove the record that it was made from."""
        write_atomically(self.profile, text)
        self.unfinished.unlink(missing_ok=True)
