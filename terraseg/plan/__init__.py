"""From the facts of the data and the machine to the settings of a training run, each with its reason."""
