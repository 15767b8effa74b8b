"""`splitwatt.Board`: a bundle opened for an application's own program, its server parts anywhere."""

from typing import Any, Dict, Optional

import numpy as np

from splitwatt.device_configs.names import check_known
from splitwatt.engines.backends import BACKENDS
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.client.client import TIMEOUT_S, Client
from splitwatt.profiler.client.connection import Endpoint, read_token
from splitwatt.profiler.infer.deployed import Answered, Deployed, named


class Board(Deployed):
    """Runs a bundle on images, one a call; a context manager.

        with splitwatt.Board("bundles/nano/ladon_r50@5.12", server="http://10.0.0.2:8080") as board:
            answered = board.infer(rgb)

    Calls must not overlap: a program with several threads opens a `Board` in each.

    Args:
        bundle: the folder of a local or split model's bundle.
        server: URL of a running `splitwatt serve`; None runs the server's parts here too. A local
            bundle needs none and ignores it.
        backend: what runs the board's parts, a name of `splitwatt.engines.backends.BACKENDS`.
        token_file: holds the token that the server asks for.
        certificate: the PEM file to trust; None trusts the system's authorities.
        fingerprint: SHA-256 of the server's certificate, to trust instead of a file.
        timeout_s: of one request, in seconds.

    Raises:
        UsageError: URL, token, certificate or backend is unusable.
        BundleError, EngineError: the bundle is damaged, or the backend cannot run it.
        ServerError: the server is gone, lacks the model, or has other entropy tables.
    """

    def __init__(
        self,
        bundle: str,
        server: Optional[str] = None,
        backend: str = "cpu",
        token_file: Optional[str] = None,
        certificate: Optional[str] = None,
        fingerprint: Optional[str] = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        check_known("backend", backend, BACKENDS)
        client = None
        if server is not None:
            endpoint = Endpoint(server, read_token(token_file), certificate, fingerprint)
            client = Client(endpoint, timeout_s)
        opened = Bundle.open(bundle, "board" if client is not None else None)
        self.manifest = opened.manifest
        try:
            super().__init__(opened, backend, client)
        except BaseException:
            if client is not None:
                client.close()
            raise

    def infer(self, rgb: np.ndarray) -> Answered:
        """The answer for an image.

        Args:
            rgb: uint8 (H, W, 3), red first (OpenCV's frames have blue first: `frame[:, :, ::-1]`).

        Returns:
            `answer` has a dictionary of arrays for each task: `labels` int64 and `scores` float32 (N,),
            `boxes` float32 (N, 4) in pixels, `mask` int32 (H, W). `payload` has the bytes that were
            sent, `stages` seconds by name.

        Raises:
            ImageError, EngineError, BitstreamError, ServerError: as pipelines and client do. The next
                call connects again.
        """
        return self.run(np.ascontiguousarray(rgb))

    def named(self, answered: Answered) -> Dict[str, Any]:
        """An answer as JSON values, with the names of its classes."""
        return named(answered.answer, self.manifest)

    def close(self) -> None:
        """Close the engines and the connection."""
        super().close()
        if self._client is not None:
            self._client.close()
