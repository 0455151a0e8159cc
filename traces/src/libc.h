/* The few functions of the C library that the calculator uses, so that no system header has to be read. */
#ifndef LIBC_H
#define LIBC_H

int printf(const char *format, ...);
char *fgets(char *line, int size, void *stream);
void *calloc(unsigned long count, unsigned long size);
void free(void *block);
double strtod(const char *text, char **end);
int strcmp(const char *a, const char *b);
char *strncpy(char *to, const char *from, unsigned long size);
void exit(int status);

extern void *stdin;

#endif
