/* Expression trees, their values, and the variables. An operation that lacks a side is an error: it is null. */
#include "calc.h"
#include "libc.h"

#define VARIABLES 64

static struct {
    char name[NAME_SIZE];
    double value;
} variables[VARIABLES];
static int variables_count;

static struct node *make_node(char operator)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node)
        exit(1);
    node->operator = operator;
    return node;
}

struct node *tree_number(double number)
{
    struct node *node = make_node('n');

    node->number = number;
    return node;
}

struct node *tree_variable(const char *name)
{
    struct node *node = make_node('v');

    strncpy(node->name, name, NAME_SIZE - 1);
    return node;
}

struct node *tree_operation(char operator, struct node *left, struct node *right)
{
    struct node *node;

    if (!left || !right) {
        tree_free(left);
        tree_free(right);
        return 0;
    }
    node = make_node(operator);
    node->left = left;
    node->right = right;
    return node;
}

int tree_depth(const struct node *node)
{
    int left, right;

    if (!node)
        return 0;
    left = tree_depth(node->left);
    right = tree_depth(node->right);
    return 1 + (left > right ? left : right);
}

void tree_free(struct node *node)
{
    if (!node)
        return;
    tree_free(node->left);
    tree_free(node->right);
    free(node);
}

static double *find_variable(const char *name)
{
    int i;

    for (i = 0; i < variables_count; i++)
        if (strcmp(variables[i].name, name) == 0)
            return &variables[i].value;
    if (variables_count == VARIABLES) {
        printf("too many variables\n");
        exit(1);
    }
    strncpy(variables[variables_count].name, name, NAME_SIZE - 1);
    return &variables[variables_count++].value;
}

static double power(double base, double exponent)
{
    double result = 1;
    int count = exponent < 0 ? (int)-exponent : (int)exponent;

    while (count > 0) {
        if (count & 1)
            result *= base;
        base *= base;
        count >>= 1;
    }
    return exponent < 0 ? 1 / result : result;
}

static double assign(const struct node *node)
{
    double value = evaluate(node->right);

    *find_variable(node->left->name) = value;
    return value;
}

double evaluate(const struct node *node)
{
    switch (node->operator) {
    case 'n': return node->number;
    case 'v': return *find_variable(node->name);
    case '~': return -evaluate(node->left);
    case '+': return evaluate(node->left) + evaluate(node->right);
    case '-': return evaluate(node->left) - evaluate(node->right);
    case '*': return evaluate(node->left) * evaluate(node->right);
    case '/': return evaluate(node->left) / evaluate(node->right);
    case '^': return power(evaluate(node->left), evaluate(node->right));
    default: return assign(node);
    }
}
