"""What both environments share: configuration, stages, names and results.

Standard library only. The Airflow side and the Spark side import nothing else of each other.
"""

from darkroom.contract.approval_config import ApprovalConfig, ApprovalPolicy, NotifierConfig
from darkroom.contract.config import (
    FeaturesConfig,
    MaintenanceConfig,
    PipelineConfig,
    RetrainConfig,
    ValidationConfig,
    WatchConfig,
    WeightsFile,
    check_together,
)
from darkroom.contract.errors import (
    ConfigError,
    ConflictError,
    DarkroomError,
    DataError,
    DiskFullError,
    ExitCode,
    GateFailedError,
    MissingInputError,
    class_and_text,
    one_line,
)
from darkroom.contract.gate_config import GateConfig
from darkroom.contract.monitoring import MonitoringConfig
from darkroom.contract.names import Engine
from darkroom.contract.reasons import RejectReason
from darkroom.contract.results import (
    Check,
    Comparison,
    GateDecision,
    StageResult,
    StageStatus,
    Verdict,
)
from darkroom.contract.serving import ScoringConfig, SqlConfig, ViewConfig, ViewKind
from darkroom.contract.shadow import Disagreement, ShadowComparison
from darkroom.contract.source import OnMissing, SourceConfig, SourceKind, SplitConfig
from darkroom.contract.stages import Stage
from darkroom.contract.tuning import HeadKind, Range, SearchMethod, TuningConfig
from darkroom.contract.workspace import RunFolder, Workspace

__all__ = [
    "ApprovalConfig",
    "ApprovalPolicy",
    "Check",
    "Comparison",
    "ConfigError",
    "ConflictError",
    "DarkroomError",
    "DataError",
    "Disagreement",
    "DiskFullError",
    "Engine",
    "ExitCode",
    "FeaturesConfig",
    "GateConfig",
    "GateDecision",
    "GateFailedError",
    "HeadKind",
    "MaintenanceConfig",
    "MissingInputError",
    "MonitoringConfig",
    "NotifierConfig",
    "OnMissing",
    "PipelineConfig",
    "Range",
    "RejectReason",
    "RetrainConfig",
    "RunFolder",
    "ScoringConfig",
    "SearchMethod",
    "ShadowComparison",
    "SourceConfig",
    "SourceKind",
    "SplitConfig",
    "SqlConfig",
    "Stage",
    "StageResult",
    "StageStatus",
    "TuningConfig",
    "ValidationConfig",
    "Verdict",
    "ViewConfig",
    "ViewKind",
    "WatchConfig",
    "WeightsFile",
    "Workspace",
    "check_together",
    "class_and_text",
    "one_line",
]
