"""The kinds of faults, in the order of the page."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of faults that share a root."""

    title: str
    before: str = ""
    """What version 0.1.0 did with the example of this kind; empty: the kind was not looked at then."""


KINDS = {
    "A": Kind("Settings of a hostile checkout", "found settings chose where to write and what: code was executed"),
    "B": Kind("Checkpoints that name pickles", "`probe --model` loaded pickles, also from outside of the folder"),
    "C": Kind("Output files that are no regular files", "`--output` replaced devices, pipes and links"),
    "D": Kind("Signals", "SIGHUP, SIGQUIT and SIGKILL left the worker and the scratch folder"),
    "E": Kind("Weights that are not finite", "an all-NaN checkpoint: nothing speaks against bf16, exit code 0"),
    "F": Kind("Small files that take long", "YAML aliases, `.gitignore` lines and symptoms hung the doctor"),
    "G": Kind("Files without an end, and files that block", "`/dev/zero` and pipes were read without a limit"),
    "H": Kind("Events with markup", "an event with markup crashed the doctor, which outlasted `--timeout`"),
    "I": Kind("Closed pipes", "a closed pipe ended with 1, which means findings"),
    "J": Kind("Closed or full standard streams", "tracebacks; output was written into other files"),
    "K": Kind("Bytes that are no text", "`--format json` ended with a traceback"),
    "L": Kind(
        "Escape sequences, and commands to copy", "escape sequences reached the terminal; a command was unquoted"
    ),
    "M": Kind("One odd file among others", "one odd file ended the whole lint with a traceback"),
    "N": Kind("Values out of range", "a traceback and exit code 3 where 2 is right"),
    "O": Kind("Targets that fail while they are described", "reported as wrong usage; `--timeout` did not apply"),
    "P": Kind("Children that hide", "a child that called `setsid` outlived the check"),
    "Q": Kind("Lies of the target, and settings nearby", "a torch that replayed recorded events got “Fit”"),
    "R": Kind(
        "Interrupts, owners and hostile exceptions", "an early SIGINT was a traceback; `lint --fix` changed owners"
    ),
    "S": Kind("Limits of resources"),
    "T": Kind("Environment variables, locales and encodings"),
    "U": Kind("Trees of odd shape, and file systems"),
    "V": Kind("Damaged installations of the doctor"),
    "W": Kind("Changes while it runs, and several runs at once"),
    "X": Kind("Metadata of packages, and odd interpreters"),
    "Y": Kind("States and configuration of git repositories"),
    "Z": Kind("Terminals, users and odd options"),
    "AA": Kind("Kept answers"),
    "AB": Kind("Policies and baselines"),
    "AC": Kind("Files that `init` writes"),
    "AD": Kind("The gate: its time limit and its locks"),
    "AE": Kind("Bundles of a matrix"),
    "AF": Kind("Reports on files with hostile names"),
    "AG": Kind("Functions of `--entry`"),
}
"""Kinds with an empty ``before`` were sought later: S to AA by someone who had not seen the code, and the others for
what was new by then."""
