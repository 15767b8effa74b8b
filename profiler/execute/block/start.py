"""How a block's process begins: its command line, what the run folder tells it, where its server is."""

import argparse
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.client.client import TIMEOUT_S
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.tokens import read_token
from splitwatt.profiler.config.config import Config, from_document
from splitwatt.profiler.execute.block.telling import tell
from splitwatt.profiler.links.process import die_with_parent
from splitwatt.profiler.links.way import way_of
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.sessions import session_of

FATAL_EXIT = 3


class Begun(NamedTuple):
    """What a block's process works with.

    Attributes:
        folder: the run's.
        document: its run.json.
        config: the run's.
        images: paths of the run's images.
        endpoint: the server, over the run's shaped link where it has one.
        session: of the run.
    """

    folder: RunFolder
    document: Dict[str, Any]
    config: Config
    images: List[str]
    endpoint: Endpoint
    session: int


def block_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """The arguments that the runner gives to every block."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    for name in ("--run", "--block", "--bundles", "--target"):
        parser.add_argument(name, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--server", default="http://127.0.0.1:9")
    for name in ("--token-file", "--cert", "--fingerprint"):
        parser.add_argument(name)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S)
    return parser


def run_main(
    parser: argparse.ArgumentParser, argv: Optional[List[str]], work: Callable[[Any, Begun], None]
) -> int:
    """Do a block's work; exit code 0, or 3 where the run cannot go on."""
    options = parser.parse_args(argv)
    try:
        die_with_parent(options.parent)
        work(options, _begun(options))
    except SplitwattError as error:
        tell({"fatal": error.message, "remedy": error.remedy})
        return FATAL_EXIT
    except KeyboardInterrupt:
        return 130
    return 0


def _begun(options: Any) -> Begun:
    folder = RunFolder(options.run)
    document = folder.document()
    config = from_document(document["config"], "run.json")
    images = [os.path.join(document["images_folder"], row["file"]) for row in document["images"]]
    token, way = read_token(options.token_file), way_of(document.get("link"))
    endpoint = Endpoint(options.server, token, options.cert, options.fingerprint, way)
    return Begun(folder, document, config, images, endpoint, session_of(document))
