"""The framework `numpy`: every layer forward and backward in NumPy, as closed forms.

It is the oracle for parity, the smallest example of a plugin, and what runs when no plugin is installed. Read it in the
order plugin, lowering, layers, training.
"""
