"""The pages' pictures as inline SVG, one kind a file: static, small, and the same in every browser."""
