"""The pictures: exhibits as plain SVG, drawn in two widths so that text never shrinks."""
