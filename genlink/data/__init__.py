"""From a knowledge base and a corpus to training examples: strings first, token ids last."""
