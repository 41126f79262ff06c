"""Any `torch.nn.Module` and any ONNX file as an `Arch`."""
