"""Networks that turn normalised bands into class logits, their encoders, and the losses that train them."""
