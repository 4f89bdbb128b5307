"""All facts that the rules use."""

from vc2doctor.linter.analyse.autocast import AutocastFacts
from vc2doctor.linter.analyse.lineage import LineageFacts
from vc2doctor.linter.analyse.loops import LoopFacts
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.program_reach import ProgramReach
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.runs import RunFacts
from vc2doctor.linter.analyse.scalers import ScalerFacts
from vc2doctor.linter.analyse.stage import Stages
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.analyse.weights import WeightFacts


class Facts:
    """The facts of one project. Each kind is computed when it is first used."""

    def __init__(self, code: CodeFacts) -> None:
        self.code = code
        self.values = Values(code)
        self.stages = Stages(code)
        self.objects = ObjectFacts(code, self.values)
        self.autocast = AutocastFacts(code, self.values, self.stages, self.objects)
        self.scalers = ScalerFacts(code, self.values)
        self.loops = LoopFacts(code, self.stages, self.autocast)
        self.weights = WeightFacts(code, self.values, self.stages, self.objects)
        self.lineages = LineageFacts(code, self.objects, self.stages, self.weights)
        self.runs = RunFacts(code, self.values)
        self.reach = ProgramReach(code, self.values)
