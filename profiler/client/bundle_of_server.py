"""Whether a server runs the bundle that the board has."""

from typing import Any, Dict, Optional

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.client import Client


def bundle_of_server(client: Client, model: str, tables_id: Optional[str]) -> Dict[str, Any]:
    """What a server says of its bundle of a model; empty where it says nothing.

    Args:
        client: of the server.
        model: its name.
        tables_id: of the board's entropy tables; None of a codec without any.

    Raises:
        ServerError: its entropy tables are others, or it does not have the model.
    """
    parameters = client.model_metadata(model).get("parameters")
    theirs: Dict[str, Any] = parameters if isinstance(parameters, dict) else {}
    if "tables_id" in theirs and theirs["tables_id"] != tables_id:
        raise ServerError(
            "the server's bundle of %s has the entropy tables %s and the board's has %s"
            % (model, theirs["tables_id"], tables_id),
            "copy one bundle to both",
        )
    return theirs
