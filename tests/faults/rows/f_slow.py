"""F. Small files that take long: every row has a limit of processor time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP, small_matrix

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_FANOUT = "a0: &a0 {fp16: true}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(9))}}}\n" for n in range(1, 11)
)
"""Nine aliases of nine aliases, ten times: 9 ** 10 nodes."""


@rows(
    "F",
    {
        "aliases_that_fan_out": _FANOUT,
        "alias_within_itself": "a: &a\n  - *a\n",
        "ten_thousand_levels": "[" * 10_000 + "]" * 10_000,
        "fifty_thousand_keys": "".join(f"k{n}: {n}\n" for n in range(50_000)),
    },
    1,
    says="train.py",
    suite=("aliases_that_fan_out",),
)
def yaml_configuration(scene: Scene, text: str) -> Command:
    """A training configuration in YAML."""
    # A file without a word for a precision would not be parsed.
    scene.file("config.yaml", f"# fp16\n{text}")
    scene.file("accelerate.yaml", f"compute_environment: LOCAL_MACHINE\nmixed_precision: fp16\n{text}")
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


@rows(
    "F",
    {
        "twenty_five_stars": "a*" * 25 + "b\n",
        "bracket_without_an_end": "[" * 5_000 + "\n",
        "bad_range": "[z-a]*\n[\\\n",
        "double_stars": "**/" * 400 + "x\n",
    },
    1,
    says="train.py",
)
def gitignore(scene: Scene, text: str) -> Command:
    """A `.gitignore` whose patterns are slow to match, or none."""
    scene.file(".gitignore", text)
    scene.file("train.py", HALF_LOOP)
    scene.file("a" * 60 + "c.py", "x = 1\n")
    return Command(("lint", "."))


@rows(
    "F",
    {
        "toml_key_of_many_parts": "a." * 100_000 + "b = 1\n",
        "toml_array_of_many_levels": "a = " + "[" * 50_000 + "]" * 50_000 + "\n",
        "toml_number_of_many_digits": f"a = {'9' * 100_000}\n",
    },
    2,
    says="pyproject.toml: cannot be read",
    suite=("toml_key_of_many_parts",),
)
def settings(scene: Scene, text: str) -> Command:
    """The pyproject.toml of the checkout."""
    scene.file("pyproject.toml", text)
    scene.file("train.py")
    return Command(("lint", "."))


@row("F", 2, says="symptom")
def symptom_that_backtracks(scene: Scene) -> Command:
    """A known issue of a foreign matrix has the symptom `(a+)+$` and a look-behind, which RE2 refuses."""
    small_matrix(scene, symptom="'(?<=a)(a+)+$'")
    return Command(("check", "--matrix", "m", "--python", scene.target(torch=f"raise ImportError('{'a' * 40}!')")))


@row("F", 0, 1, 3)
def symptom_that_takes_exponential_time(scene: Scene) -> Command:
    """A known issue of a foreign matrix has the symptom `(a+)+$`, and torch fails with many `a`."""
    small_matrix(scene, symptom="'(a+)+$'")
    return Command(("check", "--matrix", "m", "--python", scene.target(torch=f"raise ImportError('{'a' * 40}!')")))


@rows(
    "F",
    {
        "sums": "x = " + "+".join(["1"] * 20_000) + "\n",
        "parentheses": "x = " + "(" * 5_000 + "1" + ")" * 5_000 + "\n",
        "attributes": "x = a" + ".b" * 10_000 + "\n",
        "one_line_of_two_megabytes": "x = '" + "y" * 2_000_000 + "'\n",
        "assignments_that_double": "a0 = 1\n" + "".join(f"a{n} = a{n - 1} + a{n - 1}\n" for n in range(1, 200)),
        "functions_that_call_each_other": "".join(
            f"def f{n}(x):\n    return f{(n + 1) % 60}(f{(n + 2) % 60}(x))\n" for n in range(60)
        ),
        "conditions": "".join(f"{' ' * n}if x:\n" for n in range(90)) + f"{' ' * 91}pass\n",
        "alternatives": "if a: pass\n" + "elif b: pass\n" * 5_000,
        "lambdas": "x = " + "lambda: " * 3_000 + "1\n",
    },
    1,
    says="train.py",
)
def source_code(scene: Scene, text: str) -> Command:
    """A Python file that is deep, wide or circular, beside one with a fault."""
    scene.file("odd.py", text)
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


@rows(
    "F",
    {
        "brackets_of_a_deepspeed_file": "[" * 200_000,
        "objects_of_a_deepspeed_file": '{"fp16":' * 3_000 + "1" + "}" * 3_000,
    },
    0,
    1,
    says="train.py",
)
def nested_json(scene: Scene, text: str) -> Command:
    """A DeepSpeed file that a shell script passes to the training is nested deeply."""
    scene.file("run.sh", "deepspeed train.py --deepspeed ds.json\n")
    scene.file("ds.json", text)
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


@rows(
    "F",
    {
        "substitutions": f"X={'$(echo ' * 3_000}1{')' * 3_000}\n",
        "subshells": "(" * 20_000 + "\n",
        "braces": "${a:-" * 5_000 + "}" * 5_000 + "\n",
        "brackets_of_a_configuration": "accelerate launch --config_file deep.yaml train.py\n",
    },
    1,
    says="train.py",
)
def nested_shell(scene: Scene, text: str) -> Command:
    """A shell script is nested deeply, or passes such a YAML file to accelerate."""
    scene.file("run.sh", f"python train.py --fp16\n{text}")
    scene.file("deep.yaml", f"mixed_precision: {'[' * 50_000}\n")
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))
