// The polar decomposition A = U H by one-sided Jacobi rotations, for the files of `orthoref export polar DIR`.
// c++ -std=c++17 -O2 -o polar polar.cpp && ./polar DIR RESULTS [conjugate | single | partial]
#include <algorithm>
#include <cmath>
#include <complex>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>
using std::string, std::vector;
string fault;

template <class T> constexpr bool is_complex = !std::is_floating_point_v<T>;
template <class T> auto ct(T x) { if constexpr (is_complex<T>) return std::conj(x); else return x; }
template <class T> T ldexp_(T x, int e) {
    if constexpr (is_complex<T>) return {std::ldexp(x.real(), e), std::ldexp(x.imag(), e)};
    else return std::ldexp(x, e);
}
template <class T> T dot(const T* x, const T* y, size_t m) {  // x^H y
    T sum = 0;
    for (size_t i = 0; i < m; i++) sum += ct(x[i]) * y[i];
    return sum;
}

// W = L diag(s) V^H for the m x n matrix W, m >= n, stored by columns; W becomes L with orthonormal columns.
template <class T, class R = decltype(std::abs(T()))>
void svd(vector<T>& w, vector<T>& v, vector<R>& s, size_t m, size_t n) {
    const R eps = std::numeric_limits<R>::epsilon(), tol = 4 * eps;
    for (size_t j = 0; j < n; j++) v[j * n + j] = 1;
    bool rotated = true;
    for (int sweep = 0; rotated && sweep < 30; sweep++) {
        rotated = false;
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++) {
                T *x = &w[p * m], *y = &w[q * m], g = dot(x, y, m);
                R a = std::real(dot(x, x, m)), b = std::real(dot(y, y, m));
                if (!(std::abs(g) > tol * std::sqrt(a) * std::sqrt(b)) || std::min(a, b) < std::pow(eps, 4)) continue;
                R z = (b - a) / (2 * std::abs(g)), t = std::copysign(1 / (std::abs(z) + std::hypot(R(1), z)), z);
                R c = 1 / std::hypot(R(1), t);
                T e = c * t * (g / std::abs(g));
                auto rotate = [&](T* x, T* y, size_t k) {
                    for (size_t i = 0; i < k; i++) {
                        T old = x[i];
                        x[i] = c * old - ct(e) * y[i], y[i] = e * old + c * y[i];
                    }
                };
                rotate(x, y, m), rotate(&v[p * n], &v[q * n], n), rotated = true;
            }
    }
    for (size_t j = 0; j < n; j++) s[j] = std::sqrt(std::real(dot(&w[j * m], &w[j * m], m)));
    R largest = *std::max_element(s.begin(), s.end());
    vector<size_t> done;
    for (size_t j = 0; j < n; j++)
        if (s[j] > eps * eps * largest) { for (size_t i = 0; i < m; i++) w[j * m + i] /= s[j]; done.push_back(j); }
    for (size_t j = 0; j < n && fault != "partial"; j++) {  // null space: what is left of the unit vector furthest away
        if (s[j] > eps * eps * largest) continue;
        vector<R> near(m, 0);
        for (size_t k : done) for (size_t i = 0; i < m; i++) near[i] += std::norm(w[k * m + i]);
        std::fill_n(&w[j * m], m, T(0)), s[j] = 0;
        w[j * m + (std::min_element(near.begin(), near.end()) - near.begin())] = 1;
        for (int twice = 0; twice < 2; twice++) {
            for (size_t k : done) {
                T g = dot(&w[k * m], &w[j * m], m);
                for (size_t i = 0; i < m; i++) w[j * m + i] -= g * w[k * m + i];
            }
            R norm = std::sqrt(std::real(dot(&w[j * m], &w[j * m], m)));
            for (size_t i = 0; i < m; i++) w[j * m + i] /= norm;
        }
        done.push_back(j);
    }
}

template <class T, class R = decltype(std::abs(T()))> void polar(const T* a, T* u, T* h, size_t m, size_t n) {
    const bool wide = m < n;
    const size_t rows = std::max(m, n), k = std::min(m, n);
    R largest = 0;
    for (size_t i = 0; i < m * n; i++)
        largest = std::max({largest, std::abs(std::real(a[i])), std::abs(std::imag(a[i]))});
    const int e = largest > 0 ? std::ilogb(largest) : 0;
    vector<T> w(rows * k), v(k * k);
    vector<R> s(k);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            (wide ? w[i * n + j] : w[j * m + i]) = ldexp_(wide ? ct(a[i * n + j]) : a[i * n + j], -e);
    if (k > 0) svd<T>(w, v, s, rows, k);
    const vector<T>&left = wide ? v : w, &right = wide ? w : v;  // A = left diag(s) right^H
    for (size_t i = 0; i < m * n; i++) u[i] = 0;
    for (size_t i = 0; i < n * n; i++) h[i] = 0;
    for (size_t l = 0; l < k; l++) {
        const T *x = &left[l * m], *y = &right[l * n];
        for (size_t i = 0; i < m; i++) for (size_t j = 0; j < n; j++) u[i * n + j] += x[i] * ct(y[j]);
        for (size_t i = 0; i < n; i++) for (size_t j = i; j < n; j++) h[i * n + j] += y[i] * s[l] * ct(y[j]);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) {
            h[i * n + j] = ldexp_(i < j ? h[i * n + j] : T(std::real(h[i * n + i])), e);
            h[j * n + i] = ct(h[i * n + j]);
        }
    for (size_t i = 0; i < m * n && fault == "conjugate"; i++) u[i] = ct(u[i]);
    if constexpr (!is_complex<T>) for (size_t i = 0; i < m * n && fault == "single"; i++) u[i] = float(u[i]);
}

void save(const string& path, const string& descr, const vector<size_t>& shape, const char* data, size_t bytes) {
    string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
    for (size_t d : shape) text += std::to_string(d) + ", ";
    text += "), }";
    text.append(63 - (10 + text.size()) % 64, ' ') += '\n';
    std::ofstream file(path, std::ios::binary);
    file << "\x93NUMPY\x01" << '\0' << char(text.size() % 256) << char(text.size() / 256) << text;
    file.write(data, std::streamsize(bytes));
}

template <class T>
void run(const char* data, const string& descr, vector<size_t> shape, const string& u, const string& h) {
    const size_t m = shape[shape.size() - 2], n = shape.back();
    const size_t count = std::accumulate(shape.begin(), shape.end() - 2, size_t(1), std::multiplies<>());
    const T* a = reinterpret_cast<const T*>(data);
    vector<T> x(count * m * n), y(count * n * n);
    for (size_t i = 0; i < count; i++) polar<T>(a + i * m * n, x.data() + i * m * n, y.data() + i * n * n, m, n);
    save(u, descr, shape, reinterpret_cast<char*>(x.data()), x.size() * sizeof(T));
    shape[shape.size() - 2] = n;
    save(h, descr, shape, reinterpret_cast<char*>(y.data()), y.size() * sizeof(T));
}

int main(int, char** arguments) {
    const string folder = string(arguments[1]) + "/", results = string(arguments[2]) + "/";
    fault = arguments[3] ? arguments[3] : "";
    std::ifstream cases(folder + "cases.txt");
    for (string id, a, u, h; cases >> id >> a >> u >> h;) {
        std::ifstream file(folder + a, std::ios::binary);
        const vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
        const size_t size = (unsigned char)bytes[8] + 256 * (unsigned char)bytes[9];  // version 1.0, C order
        const string text(bytes.data() + 10, size), from = text.substr(text.find("'descr': '") + 10);
        const string descr = from.substr(0, from.find('\''));
        vector<size_t> shape;
        for (const char* c = &text[text.find("'shape': (") + 10]; *c != ')';) {
            char* end;
            shape.push_back(std::strtoul(c, &end, 10));
            for (c = end; *c == ',' || *c == ' '; c++) {}
        }
        const auto work = descr == "<f4"   ? run<float>
                          : descr == "<f8" ? run<double>
                          : descr == "<c8" ? run<std::complex<float>>
                                           : run<std::complex<double>>;
        work(bytes.data() + 10 + size, descr, shape, results + u, results + h);
    }
}
