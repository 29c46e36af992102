"""The machine that training finds: cores, memory, accelerator."""

import torch

from terraseg.core.machine import cores_available, memory_available
from terraseg.core.plan import Hardware


def find_hardware() -> Hardware:
    """The fastest device present and what this process may use of the machine."""
    cores, memory = cores_available(), memory_available()
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Hardware(cores, memory, "cuda", name, int(free), bf16=torch.cuda.is_bf16_supported())
    if torch.backends.mps.is_available():
        return Hardware(cores, memory, "mps", "Apple GPU", 0, bf16=False)
    # Only a processor that multiplies bfloat16 in hardware gains by it; elsewhere it is emulated and slower than FP32.
    bf16 = bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return Hardware(cores, memory, "cpu", f"no GPU was found; {cores} processor cores", 0, bf16=bf16)
