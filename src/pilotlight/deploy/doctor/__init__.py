"""What is known to go wrong when a function with a model goes to Lambda, each as one check with its remedy."""
