"""The CUDA kernels on a GPU, where there is one."""

import shutil
import subprocess

import numpy as np
import pytest

from splitwatt.engines.rangecoder import RangeCoder
from tests.bench.bench_rangecoder import fitted
from tests.engines.rangecoder.gpu import GpuCoder, nvcc_command

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or not shutil.which("nvcc"), reason="needs a GPU and nvcc"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "_rangecoder_cuda.so"
    subprocess.run(nvcc_command(path), check=True)
    return str(path)


@pytest.mark.parametrize("spread", [2.75, 0.35])
@pytest.mark.parametrize("shape", [(5, 7), (55, 55), (199, 303)])
def test_a_gpu_writes_the_same_bytes_and_reads_them(library, shape, spread):
    latent, tables = fitted(shape, spread)
    latents = np.concatenate([latent, latent[..., ::-1], latent * np.float32(1.5)])
    coder = RangeCoder(tables)
    gpu = GpuCoder(library, tables)
    gpu.prepare(latents.shape)
    gpu.encode(torch.from_numpy(latents.copy()).cuda())
    strings = gpu.strings_of()
    assert strings == coder.encode(latents)
    gpu.decode()
    assert gpu.results.cpu().tolist() == [0, 0, 0]
    assert np.array_equal(gpu.latent.cpu().numpy(), coder.decode(strings, shape))


def test_a_gpu_refuses_what_cannot_be_coded(library):
    latent, tables = fitted((55, 55), 2.75)
    latents = np.concatenate([latent] * 4)
    latents[1].flat[7777] = np.nan
    latents[2].flat[0] = np.inf
    gpu = GpuCoder(library, tables)
    gpu.prepare(latents.shape)
    gpu.encode(torch.from_numpy(latents).cuda())
    lengths = gpu.lengths.cpu().tolist()
    assert lengths[1:3] == [-1, -1] and lengths[0] == lengths[3] > 0
    gpu.strings[3 * gpu.capacity + 500] ^= 1
    gpu.decode()
    results = gpu.results.cpu().tolist()
    assert results[0] == 0 and min(results[1:]) == max(results[1:]) - 1 and results[3] == -6
