/* The first serial port as the console. */
#ifndef SERIAL_H
#define SERIAL_H

/* Sets the port to 115200 8N1. Needs no memory, so it may be called at any time. */
void serial_init(void);

#endif
