"""How the parts are put together: launcher, embedded servers, command line."""
