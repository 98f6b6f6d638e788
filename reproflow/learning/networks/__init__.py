"""Models: many networks of one shape in one module, and what one of them says of x_t."""
