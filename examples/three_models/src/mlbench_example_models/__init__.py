"""A ViT, a ConvNeXt and a GPT-like classifier in mlbench: trees of the layers that come along, and one model by hand."""
