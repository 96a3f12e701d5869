"""Networks over a window of daily factors that tell the seven classes of the next move: `attention`, `resnet`,
`dense_attention`.
"""
