/* Text into tokens. */
#include "calc.h"
#include "libc.h"

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void read_number(struct lexer *lexer)
{
    char *end;

    lexer->token.kind = TOKEN_NUMBER;
    lexer->token.number = strtod(lexer->at, &end);
    lexer->at = end;
}

static void read_name(struct lexer *lexer)
{
    int length = 0;

    lexer->token.kind = TOKEN_NAME;
    while (is_letter(*lexer->at) || is_digit(*lexer->at)) {
        if (length < NAME_SIZE - 1)
            lexer->token.name[length++] = *lexer->at;
        lexer->at++;
    }
    lexer->token.name[length] = '\0';
}

void lexer_next(struct lexer *lexer)
{
    while (*lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\n')
        lexer->at++;
    if (*lexer->at == '\0') {
        lexer->token.kind = TOKEN_END;
    } else if (is_digit(*lexer->at) || *lexer->at == '.') {
        read_number(lexer);
    } else if (is_letter(*lexer->at)) {
        read_name(lexer);
    } else {
        lexer->token.kind = TOKEN_SYMBOL;
        lexer->token.symbol = *lexer->at++;
    }
}

void lexer_start(struct lexer *lexer, const char *line)
{
    lexer->at = line;
    lexer_next(lexer);
}
