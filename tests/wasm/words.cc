// C++: containers, strings, streams, virtual functions, an object that is there before main and after it.
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct shape {
    virtual ~shape() = default;
    virtual double area() const = 0;
};
struct square : shape {
    double side;
    explicit square(double s) : side(s) {}
    double area() const override { return side * side; }
};
struct farewell {
    ~farewell() { std::cout << "after main" << std::endl; }
};
static farewell last;

int main(int argc, char **argv)
{
    std::map<std::string, int> words;
    for (int i = 1; i < argc; i++) words[argv[i]]++;
    for (auto &w : words) std::cout << w.first << " " << w.second << "\n";
    std::vector<std::unique_ptr<shape>> all;
    for (int i = 0; i < 4; i++) all.push_back(std::make_unique<square>(i));
    double sum = 0;
    for (auto &s : all) sum += s->area();
    std::cout << "area " << sum << std::endl;
    return 0;
}
