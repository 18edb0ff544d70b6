#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

struct leaves {
    ~leaves() { std::cout << "unwound\n"; }
};

static int deep(int n)
{
    leaves l;
    if (n == 0) throw std::runtime_error("from below");
    return deep(n - 1);
}

int main()
{
    std::map<std::string, int> words{{"one", 1}, {"two", 2}};
    try {
        deep(3);
    } catch (const std::exception &e) {
        std::cout << "caught " << e.what() << ' ' << words["two"] << '\n';
    }
}
