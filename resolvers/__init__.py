"""How a field gets its value: rules of the shop, loaders, who may."""
