"""What both environments share: configuration, stages, names and results.

Standard library only. The Airflow side and the Spark side import nothing else of each other.
"""

from darkroom.contract.config import (
    ApprovalConfig,
    FeaturesConfig,
    GateConfig,
    PipelineConfig,
    SourceConfig,
    SplitConfig,
    TuningConfig,
    ValidationConfig,
    WeightsFile,
    check_together,
)
from darkroom.contract.errors import (
    ConfigError,
    DarkroomError,
    DataError,
    ExitCode,
    GateFailedError,
    MissingInputError,
    class_and_text,
    one_line,
)
from darkroom.contract.names import Engine
from darkroom.contract.reasons import RejectReason
from darkroom.contract.results import Check, GateDecision, StageResult, StageStatus, Verdict
from darkroom.contract.stages import Stage
from darkroom.contract.workspace import RunFolder, Workspace

__all__ = [
    "ApprovalConfig",
    "Check",
    "ConfigError",
    "DarkroomError",
    "DataError",
    "Engine",
    "ExitCode",
    "FeaturesConfig",
    "GateConfig",
    "GateDecision",
    "GateFailedError",
    "MissingInputError",
    "PipelineConfig",
    "RejectReason",
    "RunFolder",
    "SourceConfig",
    "SplitConfig",
    "Stage",
    "StageResult",
    "StageStatus",
    "TuningConfig",
    "ValidationConfig",
    "Verdict",
    "WeightsFile",
    "Workspace",
    "check_together",
    "class_and_text",
    "one_line",
]
