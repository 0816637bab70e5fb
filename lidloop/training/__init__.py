"""Fine-tuning of YOLOv8n-pose with Ultralytics, checkpoints, ONNX export, INT8."""
