"""Maps the code of a project to the quantized and FP8 formats that it uses."""

from vc2doctor.linter.analyse.doors import uses_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.matrix.quantized_formats import FORMATS


def formats_of(facts: Facts) -> tuple[str, ...]:
    """Return the ids of the formats whose signs the code shows, in the order of the table."""
    return uses_of(facts, {form.id: form.signs for form in FORMATS})
