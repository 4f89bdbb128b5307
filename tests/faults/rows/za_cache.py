"""AA. Kept answers that are damaged, odd, or not the user's own: then the environment is examined again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import ON_PAPER, mounted, needs_root

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_FIT, _KEPT = "Fit to train under bf16", "From cache"
_FOLDER = '"$XDG_CACHE_HOME/vc2doctor/answers"'
_PYTHON = "/usr/bin/env python3"
_SAME_DIGEST = (
    "import hashlib,sys;p=sys.argv[1];b=open(p,'rb').read().partition(b'\\n')[2].replace(sys.argv[2].encode(),"
    "sys.argv[3].encode());open(p,'wb').write(b'vc2doctor answer 1 '+hashlib.sha256(b).hexdigest().encode()+b'\\n'+b)"
)
"""Changes an answer and gives it the digest of its new content."""


def _again(scene: Scene, damage: str, before: str = "") -> Command:
    """Return a command that checks twice; ``damage`` is a line of shell in between, in which ``$F`` is the answer."""
    script = f"""{before}
"$@" > /dev/null 2>&1
F=$(echo {_FOLDER}/*)
{damage}
exec "$@"
"""
    return Command(("check", *ON_PAPER, "--python", scene.target()), script)


@row("AA", 0, says=(_FIT, _KEPT), in_suite=True)
def good_answer_is_used(scene: Scene) -> Command:
    """Nothing is damaged: the second check says that its answer is a kept one."""
    return _again(scene, "")


_DAMAGES: dict[str, str | bytes] = {
    "it_is_cut_off": 'truncate -s -5 "$F"',
    "it_is_empty": ': > "$F"',
    "it_is_full_of_zeros": 'head -c 90000 /dev/zero > "$F"',
    "it_is_binary_junk": 'head -c 90000 /dev/urandom > "$F"',
    "it_is_JSON_of_something_else": 'echo "{}" > "$F"',
    "it_is_of_another_version": 'sed -i "1s/answer 1/answer 0/" "$F"',
    "its_report_has_an_old_schema": f'{_PYTHON} -c "{_SAME_DIGEST}" "$F" \'"schema": 2\' \'"schema": 1\'',
    "its_report_lacks_a_field": f'{_PYTHON} -c "{_SAME_DIGEST}" "$F" \'"judged_as"\' \'"judged"\'',
    "its_verdict_is_none_that_is_kept": f'{_PYTHON} -c "{_SAME_DIGEST}" "$F" \'"fit"\' \'"unproven"\'',
    "it_is_of_the_future": 'touch -d "+1 hour" "$F"',
    "it_is_too_old": 'touch -d "-2 days" "$F"',
    "it_is_a_link_to_a_good_answer": 'mv "$F" "$F.real"; ln -s "$F.real" "$F"',
    "it_is_a_link_to_nothing": 'rm "$F"; ln -s /nosuch "$F"',
    "it_is_a_link_to_an_endless_device": 'rm "$F"; ln -s /dev/zero "$F"',
    "it_has_a_second_name": 'ln "$F" "$F.second"',
    "it_is_a_folder": 'rm "$F"; mkdir "$F"',
    "it_is_a_folder_with_files": 'rm "$F"; mkdir "$F"; touch "$F/x"',
    "it_is_a_pipe": 'rm "$F"; mkfifo "$F"',
    "it_is_said_to_have_a_terabyte": 'truncate -s 1T "$F"',
    "others_may_write_it": 'chmod 666 "$F"',
    "others_may_write_its_folder": f"chmod 777 {_FOLDER}",
    "its_folder_is_a_link": f"mv {_FOLDER} {_FOLDER}.real; ln -s {_FOLDER}.real {_FOLDER}",
    "its_folder_is_a_file": f"rm -r {_FOLDER}; touch {_FOLDER}",
    "its_folder_is_gone": f"rm -r {_FOLDER}",
}


@rows("AA", _DAMAGES, 0, says=_FIT, says_not=(_KEPT,), suite=("it_is_cut_off", "it_is_a_folder_with_files"))
def damaged_answer_is_not_used(scene: Scene, damage: str) -> Command:
    """The kept answer is damaged or odd."""
    return _again(scene, damage)


_OWNERS: dict[str, str | bytes] = {
    "it_belongs_to_another_user": 'chown 54321:54321 "$F"',
    "its_folder_belongs_to_another_user": f"chown 54321:54321 {_FOLDER}",
}


@rows("AA", _OWNERS, 0, says=_FIT, says_not=(_KEPT,))
def answer_of_another_user_is_not_used(scene: Scene, damage: str) -> Command:
    """The kept answer is not the user's own."""
    needs_root()
    return _again(scene, damage)


_PLACES: dict[str, str | bytes] = {
    "is_a_file": 'touch "$XDG_CACHE_HOME"',
    "is_not_absolute": "export XDG_CACHE_HOME=cache HOME=relative",
    "does_not_exist_and_cannot_be_made": "export XDG_CACHE_HOME=/proc/nosuch",
    "is_a_device": "export XDG_CACHE_HOME=/dev/null",
    "is_a_link_to_itself": 'ln -s "$XDG_CACHE_HOME" "$XDG_CACHE_HOME"',
    "has_a_name_that_is_too_long": 'export XDG_CACHE_HOME="/$(head -c 5000 /dev/zero | tr "\\0" x)"',
}


@rows("AA", _PLACES, 0, says=_FIT, says_not=(_KEPT,))
def folder_that_cannot_be_used_is_no_error(scene: Scene, before: str) -> Command:
    """The folder for caches cannot be used."""
    return _again(scene, "", before)


@row("AA", 0, says=_FIT, says_not=_KEPT)
def disk_of_the_cache_is_full(scene: Scene) -> Command:
    """The file system of the cache is full: the check goes on, and nothing is kept."""
    scene.cache.mkdir()
    start = mounted("size=4k", scene.cache)
    words = ("check", *ON_PAPER, "--python", scene.target())
    return Command(words, start.replace('exec "$@"', '("$@" > /dev/null 2>&1; exec "$@")', 1))


@row("AA", 0, says=_FIT, says_not=_KEPT)
def folder_of_the_cache_is_read_only(scene: Scene) -> Command:
    """The file system of the cache is read-only."""
    scene.cache.mkdir()
    start = mounted("ro", scene.cache)
    words = ("check", *ON_PAPER, "--python", scene.target())
    return Command(words, start.replace('exec "$@"', '("$@" > /dev/null 2>&1; exec "$@")', 1))


@row("AA", 0, says=_FIT)
def eight_checks_at_once_keep_one_answer(scene: Scene) -> Command:
    """Eight checks of one environment run at once."""
    script = """for _ in 1 2 3 4 5 6 7; do "$@" > /dev/null 2>&1 & done
"$@"; CODE=$?; wait
test $(ls -A "$XDG_CACHE_HOME/vc2doctor/answers" | wc -l) = 1 || CODE=9
exit $CODE
"""
    return Command(("check", *ON_PAPER, "--python", scene.target()), script)
