"""ONNX graphs put together node by node, without torch: what every model.onnx is from outside, whatever is inside."""
