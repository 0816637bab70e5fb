"""Face and landmark detection with ONNX Runtime or OpenVINO."""
