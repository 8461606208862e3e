"""Client of Airlore, the knowledge server for fleets of Apache Airflow deployments.

    from airlore import Client

    with Client() as client:                       # the server that this user runs on this machine
        client.ingest_all([{"id": "note-1", "text": "# Sensors\\n\\nUse mode reschedule."}])
        for hit in client.search("free the worker slot", k=3):
            print(hit.score, hit.id, hit.snippet)

A client may be used by many threads. Every failure is an AirloreError with a stable `reason`.
"""

from .client import Client
from .discovery import DiscoveryError, Found, discover, runtime_path
from .errors import (
    Aborted,
    AirloreError,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    NotImplementedYet,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from .ingest import IngestStream
from .types import (
    Answer,
    AnswerPiece,
    BatchResult,
    Chunk,
    ClusterStatus,
    DeletePreview,
    Deployment,
    Explain,
    Hit,
    Identity,
    IngestResult,
    IngestSummary,
    Item,
    Job,
    Key,
    NewDeployment,
    NewItem,
    NewKey,
    Owner,
    Problem,
    Promotion,
    Query,
    Redaction,
    SearchResult,
    Sentence,
    ServerInfo,
    Source,
    Team,
    VerifyFinding,
    VerifyReport,
)

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "AirloreError",
    "AlreadyExists",
    "Answer",
    "AnswerPiece",
    "BatchResult",
    "Cancelled",
    "Chunk",
    "Client",
    "ClusterStatus",
    "DataLoss",
    "DeadlineExceeded",
    "DeletePreview",
    "Deployment",
    "DiscoveryError",
    "Explain",
    "FailedPrecondition",
    "Found",
    "Hit",
    "Identity",
    "IngestResult",
    "IngestStream",
    "IngestSummary",
    "Internal",
    "InvalidArgument",
    "Item",
    "Job",
    "Key",
    "NewDeployment",
    "NewItem",
    "NewKey",
    "NotFound",
    "NotImplementedYet",
    "OutcomeUnknown",
    "Owner",
    "PermissionDenied",
    "Problem",
    "Promotion",
    "Query",
    "Redaction",
    "ResourceExhausted",
    "SearchResult",
    "Sentence",
    "ServerInfo",
    "Source",
    "Team",
    "Unauthenticated",
    "Unavailable",
    "VerifyFinding",
    "VerifyReport",
    "__version__",
    "discover",
    "runtime_path",
]
