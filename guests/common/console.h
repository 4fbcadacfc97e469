/* Where print's characters go: a serial port, or a hypervisor's console. */
#ifndef CONSOLE_H
#define CONSOLE_H

void console_put(char c);

#endif
